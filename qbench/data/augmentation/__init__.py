"""What changes images before a network sees them: at random in training, and by a formula everywhere."""
