// One scaler in full: its figures and charts, what was decided and why, its groups, members and partitions.

import { board } from './charts.js';
import { old, replicas } from './list.js';
import { UNKNOWN, badge, clock, count, el, keyed, mark, rate, say, several, span, words } from './words.js';

function tile(label, kind = '') {
  const [value, note] = [el('dd', { class: 'value' }), el('dd', { class: 'note' })];
  const node = el('div', { class: `tile card ${kind}` }, el('dt', {}, label), value, note);
  return { node, set(text, more = '', late = false) { say(value, text); say(note, more); mark(node, 'data-late', late ? '' : null); } };
}

/** A table that scrolls by itself: the page never does sideways. Columns: [label, class, text of an item]. */
function table(caption, columns) {
  const body = el('tbody');
  const heads = columns.map(([label, kind]) => el('th', { scope: 'col', class: kind }, label));
  const more = el('p', { class: 'fine' });
  const scroll = el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    el('table', {}, el('caption', { class: 'hidden' }, caption), el('thead', {}, el('tr', {}, ...heads)), body));
  const rows = keyed(body, () => {
    const cells = columns.map(([, kind]) => el('td', { class: kind }));
    return { node: el('tr', {}, ...cells), update({ item }) { columns.forEach(([, , text], i) => say(cells[i], text(item))); } };
  });
  return {
    node: el('div', {}, scroll, more),
    update(items, key, rest) {
      scroll.hidden = items.length === 0;
      rows(items.map((item, i) => ({ item, id: key(item, i) })), ({ id }) => id);
      say(more, rest);
    },
  };
}

function group() {
  const [name, about, problems] = [el('h3'), el('p', { class: 'where' }), el('p', { class: 'problem' })];
  const figures = el('p', { class: 'figures' });
  const partitions = table('Partitions, those furthest behind first', [
    ['Partition', '', (q) => `${q.topic}-${q.partition}`],
    ['Lag', 'number', (q) => count(q.lag)],
    ['Delay', 'number', (q) => span(q.delay)],
    ['Arriving', 'number', (q) => rate(q.arrival)],
    ['Processed', 'number', (q) => rate(q.service)],
    ['Committed', 'number', (q) => (q.committed === null ? UNKNOWN : q.committed.toLocaleString('en'))],
    ['End', 'number', (q) => (q.end === null ? UNKNOWN : q.end.toLocaleString('en'))],
    ['Read by', 'text', (q) => q.member ?? 'nobody'],
  ]);
  const members = table('Members, those with the largest lag first', [
    ['Member', '', (m) => m.client],
    ['Host', 'text', (m) => m.host],
    ['Partitions', 'number', (m) => count(m.partitions)],
    ['Lag', 'number', (m) => count(m.lag)],
    ['Processed', 'number', (m) => rate(m.service)],
  ]);
  const [memberHead, partitionHead] = [el('h4'), el('h4', {}, 'Partitions')];
  const node = el('section', { class: 'group card' }, name, about, problems, figures, memberHead, members.node, partitionHead, partitions.node);
  return {
    node,
    update(g) {
      say(name, g.group);
      say(about, `on ${g.cluster} · ${g.phase}${g.takenAt ? '' : ' · not read'}`);
      problems.hidden = g.problems.length === 0;
      say(problems, g.problems.join(' · '));
      say(figures, [
        `${count(g.lag)} behind`, `oldest waits ${span(g.delay)}`, `${rate(g.arrival)} arriving`, `${rate(g.service)} processed`,
        g.capacity === null ? 'capacity not known yet' : `one replica processes ${rate(g.capacity)}`,
      ].join(' · '));
      say(memberHead, `Members (${count(g.members.length + g.moreMembers)})`);
      const rest = g.moreMembers ? `and ${count(g.moreMembers)} more` : '';
      members.update(g.members, (m, i) => `${m.client} ${m.host} ${i}`, g.members.length ? rest : 'Nobody reads.');
      say(partitionHead, `Partitions (${count(g.partitions.length + g.morePartitions)})`);
      partitions.update(g.partitions, (q) => `${q.topic}-${q.partition}`,
        g.morePartitions ? `and ${count(g.morePartitions)} more, none further behind, with ${several(g.moreLag, 'message')} waiting in all` : '');
    },
  };
}

function told() {
  const [time, tag, text] = [el('time'), el('span', { class: 'tag' }), el('span', { class: 'text' })];
  const node = el('li', {}, el('span', { class: 'when' }, time, tag), text);
  return {
    node,
    update({ t, now }) {
      const ago = now - t.at;
      say(time, ago < 43200 ? clock(t.at) : new Date(t.at * 1000).toLocaleString('en-GB'));
      mark(time, 'datetime', new Date(t.at * 1000).toISOString());
      mark(time, 'title', `${span(ago)} ago`);
      say(tag, words(t.reason));
      mark(node, 'data-warning', t.warning ? '' : null);
      say(text, t.text);
    },
  };
}

/** What is known beside the tiles, as pairs; what does not apply is left out. */
function facts(s) {
  const all = [
    ['What would change it', s.wouldChange],
    ['Rule', words(s.rule ?? '')],
    ['Held back by', s.limits.map(words).join(', ')],
    ['Needed before limits', s.demand === null ? '' : several(s.demand, 'replica')],
    ['Enough afterwards', s.lasting === null ? '' : several(s.lasting, 'replica')],
    ['Held while quiet', s.base === null ? '' : several(s.base, 'replica')],
    ['Schedule', s.schedule],
    ['May arrive soon', s.expected === null ? '' : rate(s.expected)],
    ['One replica processes', s.capacity === null ? 'not known yet' : rate(s.capacity)],
    ['A replica starts in', s.startUp === null ? '' : span(s.startUp)],
    ['A rebalance pauses for', s.rebalancePause === null ? '' : span(s.rebalancePause)],
    ['Stands still', s.stuckPartitions.join(', ')],
    ['Deleted unread', s.expired ? several(s.expired, 'message') : ''],
    ['Retention deletes in', s.timeToLoss === null ? '' : span(s.timeToLoss)],
    ['Not seen', s.problems.join(' · ')],
  ];
  return all.filter(([, text]) => text);
}

/** The view of one. */
export function detail() {
  const [title, where, message, age] = [el('h1'), el('p', { class: 'where' }), el('p', { class: 'lead' }), el('p', { class: 'age' })];
  const state = badge();
  const tiles = { delay: tile('Delay', 'delay'), lag: tile('Lag'), eta: tile('Backlog gone in'), replicas: tile('Replicas'), arrival: tile('Arriving'), service: tile('Processed') };
  const charts = board();
  const events = el('ol', { class: 'told', tabindex: '0', 'aria-label': 'Decisions and findings, the latest first' });
  const none = el('p', { class: 'fine' }, 'Nothing yet since this operator took over.');
  const factList = el('dl', { class: 'facts' });
  const groupList = el('div', { class: 'groups' });
  const all = el('div', {},
    el('dl', { class: 'tiles' }, ...Object.values(tiles).map((t) => t.node)),
    charts.node,
    el('div', { class: 'columns' },
      el('section', { class: 'card' }, el('h2', {}, 'Decisions and findings'), events, none),
      el('section', { class: 'card' }, el('h2', {}, 'Behind the decision'), factList)),
    el('h2', {}, 'Consumer groups'), groupList);
  const missing = el('p', { class: 'empty card' });
  const head = el('div', { class: 'head' }, el('div', { class: 'title' }, title, state.node), where, message, age);
  const node = el('div', { class: 'detail' }, el('p', { class: 'back' }, el('a', { href: '#/' }, '← All scalers')), head, all, missing);
  const [eventRows, groupRows] = [keyed(events, told), keyed(groupList, group)];
  const factRows = keyed(factList, ([label]) => {
    const value = el('dd');
    return { node: el('div', {}, el('dt', {}, label), value), update([, text]) { say(value, text); } };
  });

  return {
    node,
    update(s, now, address, leads, partly) {
      head.hidden = all.hidden = !s;
      missing.hidden = Boolean(s);
      if (!s) {
        say(missing, leads
          ? `There is no ConsumerScaler ${address.name} in namespace ${address.namespace}${partly ? ' among those of this operator' : ''}, or it was not looked at yet.`
          : 'Scalers are shown by the operator that works: this one stands by.');
        return;
      }
      say(title, s.name);
      state.update(s.state);
      say(where, `${s.namespace}${s.target ? ` · ${s.target}` : ''}${s.mode ? ` · mode ${s.mode}` : ''}`);
      say(message, s.message);
      const stale = old(s, now);
      mark(node, 'data-stale', stale ? '' : null);
      const unseen = s.seenAt !== null && now - s.seenAt > Math.max(3 * (s.interval ?? 10), 20);
      say(age, stale ? `Not looked at for ${span(now - s.at)}: what is shown is as old.`
        : unseen ? `Not seen whole for ${span(now - s.seenAt)}.` : '');
      tiles.delay.set(span(s.delay), s.maxDelay === null ? '' : `objective ${span(s.maxDelay)}`, s.delay !== null && s.delay > s.maxDelay);
      tiles.lag.set(count(s.lag), s.lag === 1 ? 'message behind' : 'messages behind');
      tiles.eta.set(s.eta === null ? UNKNOWN : span(s.eta), s.recoverWithin === null ? '' : `objective ${span(s.recoverWithin)}`, s.eta !== null && s.eta > s.recoverWithin);
      tiles.replicas.set(replicas(s), s.min === null ? '' : `${s.ready === null ? '' : `${s.ready} ready · `}${s.min} to ${s.max}`);
      tiles.arrival.set(rate(s.arrival), 'messages');
      tiles.service.set(rate(s.service), s.capacity === null ? 'capacity not known yet' : `${rate(s.capacity)} a replica`);
      charts.update(s.history, now, s.interval, s.maxDelay);
      none.hidden = s.told.length > 0;
      eventRows(s.told.map((t) => ({ t, now })), ({ t }) => `${t.at} ${t.reason} ${t.text}`);
      factRows(facts(s), ([label]) => label);
      groupRows(s.groups, (g) => `${g.cluster} ${g.group}`);
    },
  };
}
