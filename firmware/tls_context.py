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
        # one certificate: that of the board; mbedTLS of a board takes no more
        cert = _ders("tls_cert", cert_path, b"CERTIFICATE")[0]
        key = _ders("tls_key", key_path, b"PRIVATE KEY")[0]
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
    for der in _ders("tls_ca", ca_path, b"CERTIFICATE"):
        try:
            try:
                context.load_verify_locations(cadata=der)
            except TypeError:
                context.load_verify_locations(der)  # as the inner name has it
        except (ValueError, OSError) as e:
            raise ValueError("config.json: tls_ca is %s, which holds no certificate: %s" % (ca_path, e))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _ders(key, path, label):
    # what the file holds, in DER: of PEM, which is that in base64 between two lines, all blocks that are a `label`, for
    # a file may hold a chain, a key with its certificate, or the parameters of its curve
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError:
        raise ValueError("config.json: %s is %s, and there is no such file" % (key, path))
    if b"-----BEGIN " not in data:
        return [data]
    if label != b"CERTIFICATE" and b"ENCRYPTED" in data:
        raise ValueError(
            "config.json: %s is %s, which is encrypted; needed is a key without a password (openssl pkey -in %s)"
            % (key, path, path)
        )
    from binascii import a2b_base64

    found = []
    for block in data.split(b"-----BEGIN ")[1:]:
        name, _, text = block.partition(b"-----")
        if name.endswith(label):
            try:
                found.append(a2b_base64(text[: text.index(b"-----END")].strip()))
            except ValueError:
                raise ValueError("config.json: %s is %s, whose PEM is damaged" % (key, path))
    if not found:
        raise ValueError("config.json: %s is %s, in which no %s is" % (key, path, str(label, "utf-8")))
    return found
