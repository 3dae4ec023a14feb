"""Work–precision diagrams: the error that a method ends with against the time that it takes, at many tolerances."""
