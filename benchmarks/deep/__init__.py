"""Deep Compression's table by its own steps, and the smallest files that we can make of the same networks."""
