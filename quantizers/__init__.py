"""What a number becomes: values of a number format and the gradient estimators to train through them."""
