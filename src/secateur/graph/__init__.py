"""Model in, channel graph out."""
