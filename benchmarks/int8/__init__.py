"""MobileNetV2 in few bits: weights alone, simulated integers, and two runtimes' own."""
