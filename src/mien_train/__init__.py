"""Train, evaluate, calibrate and export the classifiers that ``mien`` serves."""
