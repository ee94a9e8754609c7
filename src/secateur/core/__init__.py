"""What everything speaks: data types, contracts, errors. Imports torch and the standard library only."""
