"""What all questions share: may it attach, does it see every call, why, and what instead."""
