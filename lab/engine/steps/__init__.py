"""Steps: one stage at a time, kept so that one can go back, and what people see of it."""
