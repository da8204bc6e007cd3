"""Networks as others write them: plain torch, which knows nothing of quantizers, schemes or activation slots."""
