// `node improv_client.mjs SDK ADDRESS NAME PASSWORD`: Improv's own client against a board behind serial_bridge.py.
// Prints what it learned as JSON: state, info, networks, why a wrong password fails, the state in the end.
import { register } from "node:module";
import { pathToFileURL } from "node:url";
import { BridgedPort } from "./web_serial.mjs";

const [sdk, address, name, password] = process.argv.slice(2);
// It is written for bundlers: its files name each other without .js, and its package does not say that they are modules.
register(
  "data:text/javascript," +
    encodeURIComponent(`export async function resolve(specifier, context, next) {
      if (!context.parentURL?.includes("/improv-wifi-serial-sdk")) return next(specifier, context);
      const url = new URL(specifier.replace(/(\\.js)?$/, ".js"), context.parentURL).href;
      return { url, format: "module", shortCircuit: true };
    }
    export async function load(url, context, next) {
      return next(url, url.includes("/improv-wifi-serial-sdk") ? { ...context, format: "module" } : context);
    }`),
);
const { ImprovSerial } = await import(pathToFileURL(sdk + "/dist/serial.js"));

const port = new BridgedPort(address);
await port.open({ baudRate: 115200 });
const errors = [];
const silent = { log() {}, debug() {}, error: (...words) => errors.push(words.join(" ")) };
const client = new ImprovSerial(port, silent);
const learned = { info: await client.initialize(60000), state: client.state };
learned.networks = await client.scan();
learned.refused = await client.provision(name, "wrong " + password).then(() => "", String);
learned.afterRefused = client.state;
await client.provision(name, password);
learned.afterwards = client.state;
learned.url = client.nextUrl ?? "";
await client.close();
await port.close();
console.log(JSON.stringify({ ...learned, errors }));
process.exit(0);
