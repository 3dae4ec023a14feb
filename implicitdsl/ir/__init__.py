"""The intermediate representation: tensors as interned graphs, their derivatives and their values."""
