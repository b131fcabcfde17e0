"""A server that Debian's packages and other tools filled. What lives there is read (`reading`); nothing is made yet."""
