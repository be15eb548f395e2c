"""Pictures and notebook views, made of plain facts: what is shown knows nothing of where it is from."""
