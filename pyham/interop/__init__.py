"""Networks from elsewhere and for elsewhere: arrays, the papers' public code, PyTorch. May import everything below."""
