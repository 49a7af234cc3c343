"""What is tuned: few numbers, and what adapter they stand for. One space, one module.

A space knows nothing of optimisers and examples. To add one, write a module with a class that satisfies
:class:`~mnemon.learning.spaces.space.Space` and name it in :mod:`mnemon.learning.spaces.making`.
"""
