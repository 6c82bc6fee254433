"""What several commands share: objects built from configuration, run folders that continue and repeat, and the loop of a training."""
