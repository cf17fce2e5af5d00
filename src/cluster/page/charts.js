// Small charts: a line in a table's cell, and a board of charts that share one moment under the pointer.
// They draw columns of numbers; what is not known is a gap, never a zero.

import { UNKNOWN, clock, count, el, mark, rate, say, span, svg, words } from './words.js';

/** Stretches of time shown, s: the shortest that holds all there is. */
const RANGES = [60, 120, 300, 900, 1800, 3600];

/** The stretch of time that a history is shown on. */
export function range(history, now) {
  const begin = history?.at?.[0] ?? now;
  const length = RANGES.find((length) => now - begin <= length) ?? 3600;
  return { from: now - length, to: now, length };
}

/** A stretch of time in words. */
export const lasting = (length) => ({ 3600: 'last hour', 60: 'last minute' }[length] ?? `last ${length / 60} minutes`);

/** Longest time between two points that are joined by a line, s. */
const apart = (history, interval) => 2.5 * Math.max(history.width, interval ?? 0, 1);

/** The points of a column as runs without a gap, in pixels. */
function runs(history, column, interval, x, y, until) {
  const all = [];
  let run = null;
  const limit = apart(history, interval);
  history[column].forEach((value, i) => {
    const at = history.at[i];
    if (value === null) { run = null; return; }
    if (!run || at - run.at > limit) all.push(run = { points: [], at });
    run.points.push([x(at), y(value)]);
    run.at = at;
  });
  // What was seen last holds until now, unless it is old.
  if (run && until - run.at <= limit) run.points.push([x(until), run.points.at(-1)[1]]);
  return all.map((run) => run.points);
}

const p = (value) => value.toFixed(1);

function line(all, steps) {
  return all.map((points) => points.map(([px, py], i) => {
    if (i === 0) return `M${p(px)} ${p(py)}`;
    return steps ? `H${p(px)}V${p(py)}` : `L${p(px)} ${p(py)}`;
  }).join('')).join('');
}

function area(all, steps, floor) {
  return all.filter((points) => points.length > 1).map((points) =>
    `${line([points], steps)}V${p(floor)}H${p(points[0][0])}Z`).join('');
}

const largest = (values) => values.reduce((most, v) => (v !== null && v > most ? v : most), 0);

/** A line without axes, for a cell. `steps`: replicas. */
export function spark({ column, steps = false }) {
  const [width, height] = [120, 30];
  const [under, stroke, goal] = [svg('path', { class: 'area' }), svg('path', { class: 'line' }), svg('path', { class: 'goal' })];
  const node = svg('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, under, goal, stroke);
  return {
    node,
    /** `calm`: a level that nobody need look at, so that noise below it is not blown up. */
    update(history, now, interval, objective = null, calm = 1) {
      if (!history) return;
      const { from, to } = range(history, now);
      const top = Math.max(largest(history[column]), objective ? objective * 1.25 : 0, calm) * 1.08;
      const x = (at) => ((Math.max(at, from) - from) / (to - from)) * width;
      const y = (value) => height - 1.5 - (value / top) * (height - 4);
      const all = runs(history, column, interval, x, y, to);
      mark(stroke, 'd', line(all, steps));
      mark(under, 'd', area(all, steps, height));
      mark(goal, 'd', objective ? `M0 ${p(y(objective))}H${width}` : 'M0 0');
    },
  };
}

const BASES = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];
const SPANS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

/** The end of an axis: a round number at or above the largest value. */
function ceiling(value, unit) {
  if (unit === 'span') return SPANS.find((s) => s >= value) ?? Math.ceil(value / 86400) * 86400;
  if (value <= 4) return Math.max(2, Math.ceil(value / 2) * 2);
  const size = 10 ** Math.floor(Math.log10(value));
  const end = BASES.find((b) => b * size >= value - 1e-9) * size;
  // Half of it is written too, and there is no half of a replica or of a message.
  return unit === 'replicas' || unit === 'count' ? Math.ceil(end / 2) * 2 : end;
}

const UNITS = { span, count, rate, replicas: (v) => (v === null ? UNKNOWN : String(v)) };

/**
 * A chart with axes. `series`: { column, label, kind, steps }; `goal`: label of a level to keep, with `goalOf(data)`.
 */
function chart(title, unit, series, board, goal = null) {
  const readout = series.map((s) => {
    const value = el('b');
    return { value, node: el('span', { class: `key ${s.kind}` }, el('i', { 'aria-hidden': 'true' }), `${s.label} `, value) };
  });
  const goalText = el('span', { class: 'key goal' });
  const head = el('figcaption', {}, el('span', { class: 'title' }, title), ...readout.map((r) => r.node), goalText);
  const picture = svg('svg', { class: 'chart', role: 'img', tabindex: '0' });
  const node = el('figure', { class: 'card' }, head, picture);
  const format = UNITS[unit];
  const [left, right, top, bottom] = [46, 10, 8, 20];
  let drawn = null;

  function draw(history, now, interval, objective) {
    const width = Math.max(200, picture.clientWidth || 480);
    const height = picture.clientHeight || 150;
    const { from, to, length } = range(history, now);
    const most = Math.max(...series.map((s) => largest(history[s.column])), objective ?? 0);
    const end = ceiling(most, unit);
    const x = (at) => left + ((Math.min(Math.max(at, from), to) - from) / (to - from)) * (width - left - right);
    const y = (value) => height - bottom - (value / end) * (height - top - bottom);
    const parts = [];
    for (const level of unit === 'replicas' && end <= 2 ? [0, 1, 2] : [0, end / 2, end]) {
      parts.push(svg('path', { class: 'grid', d: `M${left} ${p(y(level))}H${width - right}` }));
      parts.push(svg('text', { class: 'tick', x: left - 6, y: p(y(level) + 3.5), 'text-anchor': 'end' }, format(level)));
    }
    const step = [15, 30, 60, 300, 600, 900].find((s) => length / s <= 5);
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const px = x(at);
      if (px < left + 14 || px > width - right - 14) continue;
      parts.push(svg('path', { class: 'grid time', d: `M${p(px)} ${height - bottom}v4` }));
      parts.push(svg('text', { class: 'tick', x: p(px), y: height - 5, 'text-anchor': 'middle' }, clock(at, step < 60)));
    }
    if (objective) parts.push(svg('path', { class: 'goal', d: `M${left} ${p(y(objective))}H${width - right}` }));
    for (const s of series) {
      const all = runs(history, s.column, interval, x, y, to);
      if (s.filled) parts.push(svg('path', { class: `area ${s.kind}`, d: area(all, s.steps, y(0)) }));
      parts.push(svg('path', { class: `line ${s.kind}`, d: line(all, s.steps) }));
    }
    const cursor = svg('path', { class: 'cursor' });
    parts.push(cursor);
    mark(picture, 'viewBox', `0 0 ${width} ${height}`);
    picture.replaceChildren(...parts);
    drawn = { history, x, from, to, cursor, height, width };
    const said = series.map((s) => `${s.label} now ${format(history[s.column].at(-1) ?? null)}, at most ${format(largest(history[s.column]))}`);
    mark(picture, 'aria-label', `${title}, ${lasting(length)}: ${said.join('; ')}${objective ? `; ${goal} ${format(objective)}` : ''}. Arrow keys read single moments.`);
    say(goalText, objective ? `${goal} ${format(objective)}` : '');
  }

  function point(at) {
    if (!drawn) return;
    const { history, x, cursor, height } = drawn;
    const i = at === null ? history.at.length - 1 : nearest(history.at, at);
    series.forEach((s, k) => say(readout[k].value, format(history[s.column][i] ?? null)));
    mark(cursor, 'd', at === null || i < 0 ? 'M0 0' : `M${p(x(history.at[i]))} ${top}V${height - bottom}`);
  }

  picture.addEventListener('pointermove', (event) => {
    if (!drawn) return;
    const box = picture.getBoundingClientRect();
    const share = (event.clientX - box.left - left) / (drawn.width - left - right);
    board.point(drawn.from + Math.min(Math.max(share, 0), 1) * (drawn.to - drawn.from));
  });
  picture.addEventListener('pointerleave', () => board.point(null));
  picture.addEventListener('blur', () => board.point(null));
  picture.addEventListener('keydown', (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !drawn?.history.at.length) return;
    event.preventDefault();
    const at = drawn.history.at;
    const from = board.at === null ? at.length - 1 : nearest(at, board.at);
    board.point(at[Math.min(Math.max(from + move, 0), at.length - 1)]);
  });
  return { node, draw, point };
}

/** Place of the point that covers a moment. */
function nearest(all, at) {
  let i = all.length - 1;
  while (i > 0 && all[i] > at) i -= 1;
  return i;
}

/** All charts of one scaler, and its states as a strip. */
export function board() {
  const moment = el('span', { class: 'moment' });
  const strip = svg('svg', { class: 'strip', role: 'img', preserveAspectRatio: 'none', viewBox: '0 0 1000 10' });
  const shared = { at: null, point };
  const charts = [
    chart('Delay', 'span', [{ column: 'delay', label: '', kind: 'delay', filled: true }], shared, 'objective'),
    chart('Lag', 'count', [{ column: 'lag', label: '', kind: 'lag', filled: true }], shared),
    chart('Replicas', 'replicas', [
      { column: 'desired', label: 'wanted', kind: 'desired', steps: true },
      { column: 'current', label: 'asked for', kind: 'current', steps: true, filled: true },
    ], shared),
    chart('Messages', 'rate', [
      { column: 'arrival', label: 'arriving', kind: 'arrival' },
      { column: 'service', label: 'processed', kind: 'service' },
    ], shared),
  ];
  const title = el('h2');
  const node = el('section', { class: 'board' },
    el('div', { class: 'board-head' }, title, moment),
    el('div', { class: 'strip-box' }, strip),
    el('div', { class: 'charts' }, ...charts.map((c) => c.node)));
  let last = null;

  function point(at) {
    shared.at = at;
    charts.forEach((c) => c.point(at));
    if (!last) return;
    const history = last.history;
    const i = at === null ? -1 : nearest(history.at, at);
    say(moment, i < 0 ? 'now' : `${clock(history.at[i])} · ${words(history.state[i])}`);
  }

  function states(history, now, interval) {
    const { from, to } = range(history, now);
    const x = (at) => ((Math.max(at, from) - from) / (to - from)) * 1000;
    const limit = apart(history, interval);
    const parts = history.at.map((at, i) => {
      const next = history.at[i + 1] ?? now;
      const end = next - at > limit ? at + history.width : next;
      return svg('rect', { x: p(x(at)), y: 0, width: p(Math.max(0, x(end) - x(at)) + 0.4), height: 10, 'data-state': history.state[i] });
    });
    strip.replaceChildren(...parts);
    const seen = [...new Set(history.state)].map(words).join(', ');
    mark(strip, 'aria-label', `States over the time shown: ${seen}`);
  }

  function draw() {
    if (!last || !node.isConnected) return;
    const { history, now, interval, objective } = last;
    const { length } = range(history, now);
    say(title, `The ${lasting(length)}`);
    states(history, now, interval);
    charts.forEach((c, i) => c.draw(history, now, interval, i === 0 ? objective : null));
    point(shared.at);
  }

  new ResizeObserver(() => draw()).observe(node);
  return { node, update(history, now, interval, objective) { last = { history, now, interval, objective }; draw(); } };
}
