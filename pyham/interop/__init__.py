"""Networks from elsewhere: arrays of other programs. May import networks and everything below them."""
