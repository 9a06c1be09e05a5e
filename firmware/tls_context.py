"""The SSLContext for the broker; imported only when TLS is asked for."""

# ssl is the board's or CPython's
# pyright: reportAttributeAccessIssue=false


def make(ca_path: str, cert_path: str = "", key_path: str = ""):
    """A client's context that checks the broker against the CA in file ca_path ("" checks nothing), and shows it the
    certificate and key of the two others. Files in DER or PEM. Raises ValueError that names the key."""
    try:
        import ssl
    except ImportError:  # some ports have it under its inner name only
        import tls as ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    cpython = hasattr(context, "check_hostname")
    if cert_path:
        cert = _der("tls_cert", cert_path)
        key = _der("tls_key", key_path)
        try:
            if cpython:
                context.load_cert_chain(cert_path, key_path)
            else:
                context.load_cert_chain(cert, key)
        except (ValueError, OSError) as e:
            raise ValueError("config.json: tls_cert %s, tls_key %s do not go together: %s" % (cert_path, key_path, e))
    if not ca_path:
        if cpython:
            context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if not hasattr(ssl, "CERT_REQUIRED"):
        # an ESP8266's axTLS: to connect all the same would give the password to whoever answers
        raise ValueError(
            "config.json: tls_ca is given, and the TLS of this chip checks no certificate: take an ESP32, or set"
            ' tls_ca to "" and tls_insecure to true'
        )
    try:
        context.load_verify_locations(cadata=_der("tls_ca", ca_path))
    except OSError as e:
        raise ValueError("config.json: tls_ca is %s, which holds no certificate: %s" % (ca_path, e))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _der(key, path):
    # what the file holds, in DER: PEM is that in base64, between two lines
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError:
        raise ValueError("config.json: %s is %s, and there is no such file" % (key, path))
    begin = data.find(b"-----BEGIN ")
    if begin < 0:
        return data
    from binascii import a2b_base64

    begin = data.find(b"-----", begin + 11) + 5
    try:
        return a2b_base64(data[begin : data.find(b"-----END", begin)].strip())
    except ValueError:
        raise ValueError("config.json: %s is %s, whose PEM is damaged" % (key, path))
