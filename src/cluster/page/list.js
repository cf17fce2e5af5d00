// Every scaler, the most urgent first: figures, small charts, and what is going on in a sentence.

import { spark } from './charts.js';
import { UNKNOWN, badge, count, el, keyed, mark, rate, say, span, urgency, words } from './words.js';

/** Rows drawn at first: thousands of them would be slow to follow. */
const PAGE = 100;

/** Where a scaler is shown in full. */
export const address = (s) => `#/${encodeURIComponent(s.namespace)}/${encodeURIComponent(s.name)}`;

/** Whether it was not looked at for too long to be believed. */
export const old = (s, now) => now - s.at > Math.max(3 * (s.interval ?? 10), 20);

/** `3 → 6`, or `3`. */
export function replicas(s) {
  if (s.current === null) return UNKNOWN;
  return s.desired !== null && s.desired !== s.current ? `${s.current} → ${s.desired}` : `${s.current}`;
}

function figure(label, kind, chart = null) {
  const [value, note] = [el('span', { class: 'value' }), el('span', { class: 'note' })];
  const node = el('td', { role: 'cell', class: `figure ${kind}`, 'data-label': label }, el('span', { class: 'numbers' }, value, note), chart ? chart.node : null);
  return { node, value, note, chart };
}

function row() {
  const [name, where, message, age] = [el('a'), el('span', { class: 'where' }), el('span', { class: 'message' }), el('span', { class: 'age' })];
  const state = badge();
  const delay = figure('Delay', 'delay', spark({ column: 'delay' }));
  const lag = figure('Lag', 'lag', spark({ column: 'lag' }));
  const asked = figure('Replicas', 'replicas', spark({ column: 'current', steps: true }));
  const eta = figure('ETA', 'eta');
  const node = el('tr', { role: 'row' },
    el('td', { role: 'cell', class: 'who' },
      el('span', { class: 'names' }, el('span', { class: 'name' }, name), where),
      message, age),
    el('td', { role: 'cell', class: 'state', 'data-label': 'State' }, state.node),
    delay.node, lag.node, asked.node, eta.node);
  return {
    node,
    update({ s, history, now }) {
      say(name, s.name);
      mark(name, 'href', address(s));
      say(where, `${s.namespace}${s.target ? ` · ${s.target}` : ''}${s.mode && s.mode !== 'Active' ? ` · ${words(s.mode)}` : ''}`);
      state.update(s.state);
      say(message, s.message);
      const stale = old(s, now);
      mark(node, 'data-stale', stale ? '' : null);
      say(age, stale ? `Not looked at for ${span(now - s.at)}` : '');
      say(delay.value, span(s.delay));
      say(delay.note, s.maxDelay === null ? '' : `of ${span(s.maxDelay)}`);
      mark(delay.node, 'data-late', s.delay !== null && s.delay > s.maxDelay ? '' : null);
      say(lag.value, count(s.lag));
      say(lag.note, s.arrival === null ? '' : `${rate(s.arrival)} in`);
      say(asked.value, replicas(s));
      say(asked.note, s.max === null ? '' : `of ${s.min}–${s.max}`);
      say(eta.value, s.eta === null ? UNKNOWN : span(s.eta));
      delay.chart.update(history, now, s.interval, s.maxDelay);
      // What may wait without being late.
      const arrival = s.arrival ?? Math.max(0, ...(history?.arrival ?? []));
      lag.chart.update(history, now, s.interval, null, Math.max(10, arrival * (s.maxDelay ?? 0)));
      asked.chart.update(history, now, s.interval, null, 2);
    },
  };
}

/** The view of all of them. */
export function list() {
  const search = el('input', { type: 'search', id: 'search', placeholder: 'Name, namespace or workload', autocomplete: 'off', spellcheck: 'false' });
  const chips = el('div', { class: 'chips', role: 'group', 'aria-label': 'Filter by state' });
  const body = el('tbody', { role: 'rowgroup' });
  const heads = ['Scaler', 'State', 'Delay', 'Lag', 'Replicas', 'ETA'].map((text) => el('th', { scope: 'col', role: 'columnheader' }, text));
  const table = el('table', { role: 'table', class: 'scalers' },
    el('caption', { class: 'hidden' }, 'Scalers, the most urgent first, with the last hour as small charts'),
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...heads)), body);
  const empty = el('p', { class: 'empty card' });
  const more = el('button', { type: 'button', class: 'more' });
  const node = el('div', {},
    el('h1', { class: 'hidden' }, 'Scalers'),
    el('div', { class: 'tools' }, chips, el('label', { class: 'hidden', for: 'search' }, 'Search'), search),
    el('div', { class: 'card table' }, table), empty, more);
  const rows = keyed(body, row);
  let [chosen, limit, last] = [null, PAGE, null];

  const filters = keyed(chips, ({ state }) => {
    const [text, number] = [el('span'), el('b')];
    const button = el('button', { type: 'button', class: 'chip', 'data-state': state }, state ? el('span', { class: 'dot', 'aria-hidden': 'true' }) : null, text, number);
    button.addEventListener('click', () => {
      chosen = chosen === state ? null : state;
      draw();
    });
    return {
      node: button,
      update({ n }) {
        say(text, state ? words(state) : 'All');
        say(number, String(n));
        mark(button, 'aria-pressed', chosen === state ? 'true' : 'false');
      },
    };
  });

  search.addEventListener('input', () => draw());
  more.addEventListener('click', () => {
    limit += 10 * PAGE;
    draw();
  });

  function draw() {
    if (!last) return;
    const { scalers, histories, now, leads, partly } = last;
    const counts = new Map();
    for (const s of scalers) counts.set(s.state, (counts.get(s.state) ?? 0) + 1);
    if (chosen !== null && !counts.has(chosen)) chosen = null;
    const states = [...counts].sort((a, b) => urgency(a[0]) - urgency(b[0]));
    filters([{ state: null, n: scalers.length }, ...states.map(([state, n]) => ({ state, n }))], (c) => c.state);
    const wanted = search.value.trim().toLowerCase();
    const fits = (s) => (chosen === null || s.state === chosen)
      && (!wanted || `${s.namespace}/${s.name} ${s.target}`.toLowerCase().includes(wanted));
    const shown = scalers.filter(fits);
    shown.sort((a, b) => urgency(a.state) - urgency(b.state) || a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name));
    const key = (s) => `${s.namespace}/${s.name}`;
    rows(shown.slice(0, limit).map((s) => ({ s, history: histories.get(key(s)), now })), ({ s }) => key(s));
    table.parentElement.hidden = shown.length === 0;
    empty.hidden = shown.length > 0;
    const none = leads
      ? `There is no ConsumerScaler in the namespaces that you may see${partly ? ' among those of this operator' : ''}, or none was looked at yet.`
      : 'Scalers are shown by the operator that works: this one stands by.';
    say(empty, scalers.length ? 'No scaler fits this search.' : none);
    more.hidden = shown.length <= limit;
    say(more, `Show more of the other ${count(shown.length - limit)}`);
  }

  return { node, update(data) { last = data; draw(); } };
}
