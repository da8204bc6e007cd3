"""Post-training quantization: calibration, bias correction, sensitivity per layer."""
