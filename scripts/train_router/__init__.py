"""Makes the router's weights (``device/mnemon/routing/weights.npz``)."""
