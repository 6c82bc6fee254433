"""What to skip: plans, the policies that make them, the executor that obeys one, and what it saves."""
