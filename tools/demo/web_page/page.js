// Draws what the server tells (see tools/demo/web.py): a line per sensor over the time at which its readings were taken.
"use strict";

const SPAN_S = 120, FIRST_SPAN_S = 20; // what a chart shows, and what it begins with
const WIDTH = 300, HEIGHT = 72; // of a chart, in its own units
const LATE_S = 3; // a reading that took longer to come was waiting for the broker
const QUIET_S = 6; // after so long without a reading the board is between two attempts
const LINES = 300;
const byId = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=token]").content;
const sensors = new Map(); // name -> {points, svg, value, low, high}
let brokerRuns = true, linkIsWhole = true, ended = false;
let first_s = Infinity, newest_s = 0, last = {late: false, received_s: 0}; // of the readings

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function sensorOf(name) {
  if (sensors.has(name)) return sensors.get(name);
  const box = document.createElement("article");
  box.className = "sensor";
  box.dataset.sensor = name;
  const title = document.createElement("h2"), label = document.createElement("span"), value = document.createElement("span");
  label.textContent = name;
  value.className = "value";
  title.append(label, value);
  const chart = svg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img"});
  chart.setAttribute("aria-label", name + " over the last two minutes");
  const scale = document.createElement("div"), low = document.createElement("span"), high = document.createElement("span");
  scale.className = "scale";
  scale.append(low, high);
  box.append(title, chart, scale);
  const boxes = [...byId("sensors").children];
  byId("sensors").insertBefore(box, boxes.find((each) => each.dataset.sensor > name) || null);
  const sensor = {points: [], chart, value, low, high};
  sensors.set(name, sensor);
  return sensor;
}

function draw(sensor) {
  const span_s = Math.min(SPAN_S, Math.max(FIRST_SPAN_S, newest_s - first_s)), from_s = newest_s - span_s;
  sensor.points = sensor.points.filter((point) => point.taken_s >= from_s);
  if (!sensor.points.length) return;
  const values = sensor.points.map((point) => point.value);
  const low = Math.min(...values), high = Math.max(...values), span = high - low || 1;
  const x = (taken_s) => (WIDTH * (taken_s - from_s) / span_s).toFixed(1);
  const y = (value) => (HEIGHT - 6 - (HEIGHT - 12) * (high === low ? 0.5 : (value - low) / span)).toFixed(1);
  sensor.chart.replaceChildren();
  let late = null; // a run of readings that waited
  for (const point of [...sensor.points, null]) {
    if (point && point.late) {
      late = late || [point.taken_s, point.taken_s];
      late[1] = point.taken_s;
    } else if (late) {
      const left = Number(x(late[0] - 0.5)), right = Number(x(late[1] + 0.5));
      sensor.chart.append(svg("rect", {x: left, y: 0, width: Math.max(1, right - left), height: HEIGHT}));
      late = null;
    }
  }
  const line = sensor.points.map((point) => `${x(point.taken_s)},${y(point.value)}`).join(" ");
  sensor.chart.append(svg("polyline", {points: line}));
  sensor.low.textContent = "least " + low;
  sensor.high.textContent = "most " + high;
}

function showState() {
  const trouble = [];
  if (!brokerRuns) trouble.push("the broker is stopped");
  if (!linkIsWhole) trouble.push("the link is cut");
  const behind = last.late || Date.now() / 1000 - last.received_s > QUIET_S;
  let [state, words] = ["well", "each reading arrives as it is taken"];
  if (ended) [state, words] = ["ended", ended];
  else if (trouble.length) [state, words] = ["in trouble", trouble.join(", ") + ": readings wait on the board"];
  else if (!sensors.size) [state, words] = ["starting", "waiting for the first reading"];
  else if (behind) [state, words] = ["catching up", "the board tries again, and sends what waited"];
  byId("state").textContent = state;
  byId("state-words").textContent = words;
  byId("broker").textContent = brokerRuns ? "Stop the broker" : "Start the broker";
  byId("broker").className = brokerRuns ? "" : "on";
  byId("link").textContent = linkIsWhole ? "Cut the link" : "Mend the link";
  byId("link").className = linkIsWhole ? "" : "on";
  for (const id of ["broker", "link"]) byId(id).disabled = Boolean(ended);
}

const on = {
  reading(event) {
    const sensor = sensorOf(event.sensor);
    sensor.value.textContent = (event.value === null ? "-" : event.value) + " " + event.unit;
    newest_s = Math.max(newest_s, event.taken_s);
    first_s = Math.min(first_s, event.taken_s);
    last = {late: event.received_s - event.taken_s > LATE_S, received_s: event.received_s};
    if (event.value !== null) {
      sensor.points.push({taken_s: event.taken_s, value: event.value, late: last.late});
      sensor.points.sort((a, b) => a.taken_s - b.taken_s);
    }
    schedule();
  },
  counts(event) {
    byId("received").textContent = event.received;
    for (const name of ["lost", "repeated"]) {
      byId(name).textContent = event[name];
      byId(name).parentElement.classList.toggle("bad", event[name] > 0);
    }
  },
  line(event) {
    const log = byId("log"), atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
    log.append(event.text + "\n");
    while (log.childNodes.length > LINES) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  },
  about(event) {
    byId("about").textContent = event.text;
  },
  state(event) {
    brokerRuns = event.broker_runs;
    linkIsWhole = event.link_is_whole;
    showState();
  },
  end(event) {
    ended = event.text;
    showState();
  },
};

let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    for (const sensor of sensors.values()) draw(sensor);
    showState();
  });
}

function press(action) {
  fetch("/" + action, {method: "POST", headers: {"X-Token": token}}).catch(() => {});
}

byId("broker").addEventListener("click", () => press(brokerRuns ? "stop-broker" : "start-broker"));
byId("link").addEventListener("click", () => press(linkIsWhole ? "cut-link" : "mend-link"));
const source = new EventSource("/events");
source.onmessage = (message) => {
  const event = JSON.parse(message.data);
  on[event.kind](event);
};
source.onerror = () => {
  if (ended) source.close(); // else the browser connects again by itself
  else byId("state").textContent = "no connection to make run";
};
showState();
setInterval(() => source.readyState === EventSource.OPEN && showState(), 1000);
