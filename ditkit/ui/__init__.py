"""The page of `ditkit ui`: a tab a file, a queue of runs, and the server on this machine that shows them."""
