"""GrounDiT: each phrase of a prompt in its own boxes, by a frozen PixArt (Lee et al. 2024, arXiv 2410.20474)."""
