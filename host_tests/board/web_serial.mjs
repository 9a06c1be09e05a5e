// A board's port with the face of Web Serial's SerialPort, over the HTTP of serial_bridge.py: the same in node, which
// has no Web Serial, and in a headless Chromium, which has no board.
export class BridgedPort extends EventTarget {
  constructor(address) {
    super();
    this.address = address;
    this.readable = this.writable = null;
  }

  getInfo() {
    return {};
  }

  async open() {
    if (this.readable) throw new DOMException("The port is already open.", "InvalidStateError");
    await this.#post("open");
    const opened = this;
    // a reader that cancels gets a new stream, as from Web Serial
    const listen = async () => {
      const abort = new AbortController();
      const answer = await fetch(opened.address + "/serial/read", { signal: abort.signal });
      const reader = answer.body.getReader();
      opened.readable = new ReadableStream({
        async pull(controller) {
          const { value, done } = await reader.read();
          done ? controller.close() : controller.enqueue(value);
        },
        async cancel() {
          abort.abort();
          if (opened.writable) await listen();
        },
      });
    };
    // A write is over when the bytes are on their way, as with Web Serial: a board's answer may be here before that of
    // the bridge, and whoever gets it writes again.
    let posted = Promise.resolve();
    const write = (bytes) => {
      const before = posted;
      posted = before.then(() => this.#post("write", bytes));
      posted.catch(() => {}); // the next write raises it
      return before;
    };
    this.writable = new WritableStream({ write, close: () => posted });
    await listen();
  }

  async close() {
    this.writable = null;
    await this.#post("close");
    this.readable = null;
  }

  async setSignals({ dataTerminalReady, requestToSend }) {
    const query = new URLSearchParams();
    if (dataTerminalReady !== undefined) query.set("dtr", dataTerminalReady);
    if (requestToSend !== undefined) query.set("rts", requestToSend);
    await this.#post("signals?" + query);
  }

  async #post(verb, body) {
    const answer = await fetch(this.address + "/serial/" + verb, { method: "POST", body });
    if (!answer.ok) throw new DOMException("The device has been lost.", "NetworkError");
  }
}
