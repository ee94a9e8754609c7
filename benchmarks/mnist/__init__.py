"""The networks on which the pruning literature started, by its methods and by our own, beside the papers' figures."""
