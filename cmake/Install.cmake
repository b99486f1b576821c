# What `./dev install --prefix` leaves behind.
