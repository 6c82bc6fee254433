"""What a run found or made, as people see it: reports, pages, plots, progress and run folders."""
