"""What is done with a finished trial: exported, calibrated anew, compared."""
