"""The SSLContext for the broker; imported only when TLS is asked for."""


# ssl is the board's or CPython's
# pyright: reportAttributeAccessIssue=false


def make(ca_path):
    """A client's context that checks the broker against the CA in the DER file ca_path; "" checks nothing. Raises
    ValueError."""
    try:
        import ssl
    except ImportError:  # some ports have it under its inner name only
        import tls as ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not ca_path:
        if hasattr(context, "check_hostname"):  # CPython
            context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        with open(ca_path, "rb") as f:
            context.load_verify_locations(cadata=f.read())
    except OSError:
        raise ValueError("config.json: tls_ca is %s, and there is no such file" % ca_path)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
