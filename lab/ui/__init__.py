"""Reprs, the stepper, its saved page, the kernel, the words: adapters. Nothing below knows that Jupyter exists."""
