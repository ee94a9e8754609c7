"""What a plan does to a model: mask it, shrink it, prove that both are one."""
