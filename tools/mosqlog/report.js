// Draws the clients that are not in the page yet, and finds clients by a part of their id.
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const list = document.getElementById('clients');
const find = document.getElementById('find');
const more = document.getElementById('more');
const all = document.getElementById('all');
const count = document.getElementById('count');
const STEP = 200;
const SVG = 'http://www.w3.org/2000/svg';
const inPage = [...list.children].map(row => ({id: row.dataset.client.toLowerCase(), row}));
const waiting = data.clients.map(client => ({id: client.id.toLowerCase(), client, row: null}));
let shown = 0;      // of those that wait

function element(name, text, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  return made;
}

const percent = part => (100 * part).toFixed(2) + '%';

function strip(client) {
  const svg = drawn('svg', {class: 'strip', role: 'img', 'aria-label': 'sessions'});
  svg.append(drawn('use', {href: '#marks', width: '100%', height: '100%'}));
  for (const [start, length, how, sessions, begun] of client.bars) {
    const bar = drawn('g', {});
    bar.append(drawn('title', {}));
    bar.firstChild.textContent = (sessions > 1 ? sessions + ' sessions, ' : '') + data.hows[how][1];
    bar.append(drawn('rect', {
      x: percent(start / data.length), width: percent(length / data.length), y: begun ? 2 : 6, height: begun ? 14 : 6,
      class: sessions > 1 ? 'several' : begun ? 'bar' : 'unbegun'}));
    if (data.hows[how][0] !== 'open')
      for (const [width, left] of sessions > 1 ? [[4, -4], [2, -7]] : [[4, -4]])
        bar.append(drawn('rect', {x: percent((start + length) / data.length), width, y: 1, height: 16,
          transform: `translate(${left} 0)`, class: data.hows[how][0]}));
    svg.append(bar);
  }
  return svg;
}

function built(client) {
  const row = element('details', '', 'client');
  row.dataset.client = client.id;
  const summary = row.appendChild(element('summary'));
  const name = summary.appendChild(element('div', '', 'name'));
  name.title = client.id;
  name.append(element('span', client.weight ? String(client.weight) : '',
    'badge ' + (client.weight >= 10 ? 'bad' : client.weight ? 'warn' : '')), client.id);
  summary.append(strip(client));
  summary.append(element('div', client.found.map(([code, times]) => times.toLocaleString('en') + ' × ' + data.codes[code][0]).join(', '), 'facts'));
  summary.append(element('div', client.facts, 'facts'));
  row.addEventListener('toggle', () => { if (row.open && row.children.length === 1) row.append(body(client)); });
  return row;
}

function body(client) {
  const made = element('div', '', 'body');
  for (const [code, times, when] of client.found) {
    made.append(element('p', times + ' × ' + data.codes[code][1], 'warn'), element('p', when));
    made.append(element('p', data.codes[code][2], 'dim'));
  }
  made.append(element('p', client.found.length ? '' : 'No findings.', 'dim'));
  made.append(element('p', 'Sessions and packets: mosqlog --client, or --json.', 'dim'));
  return made;
}

function draw(entries) {
  const page = document.createDocumentFragment();
  for (const entry of entries) {
    entry.row = entry.row || built(entry.client);
    entry.row.hidden = false;
    page.append(entry.row);     // in their order, whatever was found before
  }
  list.append(page);
}

function told(visible, of) {
  count.textContent = visible === of ? '' : visible.toLocaleString('en') + ' of ' + of.toLocaleString('en') + ' clients';
  more.hidden = all.hidden = !!find.value || shown >= waiting.length;
  more.textContent = 'Show ' + Math.min(STEP, waiting.length - shown) + ' more';
  all.textContent = 'Show all ' + (inPage.length + waiting.length).toLocaleString('en');
}

function update() {
  const wanted = find.value.toLowerCase();
  let visible = 0, drawnNow = 0;
  for (const entry of inPage) visible += !(entry.row.hidden = !entry.id.includes(wanted));
  const hits = [];
  waiting.forEach((entry, i) => {
    const hit = wanted ? entry.id.includes(wanted) : i < shown;
    if (hit && (!wanted || ++drawnNow <= STEP)) hits.push(entry);
    else if (entry.row) entry.row.hidden = true;
  });
  draw(hits);
  told(visible + hits.length, inPage.length + waiting.length);
}

find.addEventListener('input', update);
more.addEventListener('click', () => { shown = Math.min(shown + STEP, waiting.length); update(); });
all.addEventListener('click', () => { shown = waiting.length; update(); });
for (const link of document.querySelectorAll('a[href^="#c"]'))
  link.addEventListener('click', () => {
    const row = document.getElementById(link.getAttribute('href').slice(1));
    if (row) { row.hidden = false; row.open = true; }
  });
update();
