"""Reading prompts: their features for a network, and which of their tokens a phrase is."""
