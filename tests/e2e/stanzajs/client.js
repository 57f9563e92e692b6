// A stanza.js client driven by another program: commands as JSON lines on standard input,
// what happens as JSON lines on standard output.
//
//   node client.js '{"jid": "…", "password": "…", "url": "wss://…", "register": true}'
//
// Commands: {"do": "message", "to", "body"}, {"do": "presence"}, {"do": "subscribe", "to"},
// {"do": "accept", "to"}, {"do": "block", "to"}, {"do": "unblock", "to"}, {"do": "cut"} (the connection breaks), {"do": "connect"}, {"do": "disconnect"}.
// Of rooms: {"do": "enter", "to", "nick"}, {"do": "say", "to", "body", "id"}, {"do": "topic", "to", "subject"}.
'use strict';

const readline = require('readline');
const { createClient } = require('stanza');

const options = JSON.parse(process.argv[2]);

function tell(event, fields = {}) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
}

function split(address) {
  const slash = address.indexOf('/');
  return slash < 0 ? [address, ''] : [address.slice(0, slash), address.slice(slash + 1)];
}

const client = createClient({
  jid: options.jid,
  password: options.password,
  autoReconnect: false,
  transports: { websocket: options.url, bosh: false },
});

// stanza.js picks a -PLUS mechanism where one is offered although no WebSocket tells it
// anything to bind to (it then says so itself, with "n"), and is rightly refused.
for (const name of ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS']) client.sasl.disable(name);

let registered = !options.register;
// Before SASL, which has priority 100.
client.registerFeature('inbandRegistration', 50, async (features, done) => {
  if (!registered) {
    registered = true;
    const [username, domain] = options.jid.split('@');
    await client.sendIQ({ to: domain, type: 'set', account: { username, password: options.password } });
    tell('registered');
  }
  done();
});

let tls = false;
client.on('connected', () => {
  tls = options.url.startsWith('wss:');
});
client.on('raw', (direction, data) => {
  const auth = direction === 'outgoing' && /<auth [^>]*mechanism="([^"]+)"/.exec(data);
  if (auth) tell('authenticating', { mechanism: auth[1], tls });
});
client.on('session:started', async () => {
  await client.getRoster();
  if (options.caps) client.updateCaps();
  client.sendPresence(options.caps ? { legacyCapabilities: client.disco.getCaps() } : {});
  tell('online', { jid: client.jid });
});
client.on('stream:management:resumed', () => tell('resumed', { jid: client.jid }));
client.on('disconnected', () => tell('disconnected'));
client.on('stream:error', (error) => tell('stream-error', { condition: error.condition }));
client.on('auth:failed', () => tell('auth-failed'));
client.on('message', (m) => {
  if (m.type === 'error') tell('message-error', { from: m.from });
  else if (m.type === 'groupchat' && m.body) {
    const [room, nick] = split(m.from);
    const ids = (m.stanzaIds || []).filter((mark) => mark.by === room).map((mark) => mark.id);
    tell('groupchat', { room, nick, body: m.body, id: m.id, stanza_id: ids.length === 1 ? ids[0] : ids, delayed: Boolean(m.delay) });
  } else if (m.body) tell('message', { from: m.from, body: m.body, delayed: m.delay ? m.delay.timestamp : null });
});
client.on('muc:join', (p) => {
  const [room, nick] = split(p.from);
  tell('entered', { room, nick, codes: p.muc.statusCodes.map(Number).sort() });
});
client.on('muc:topic', (m) => tell('subject', { room: m.room, nick: split(m.from)[1], subject: m.topic }));
client.on('muc:available', (p) => tell('occupant', { room: split(p.from)[0], nick: split(p.from)[1], gone: false }));
client.on('muc:unavailable', (p) => tell('occupant', { room: split(p.from)[0], nick: split(p.from)[1], gone: true }));
client.on('available', (p) => tell('available', { from: p.from, show: p.show || '' }));
client.on('unavailable', (p) => tell('unavailable', { from: p.from }));
client.on('subscribe', (p) => tell('subscribe', { from: p.from }));
client.on('subscribed', (p) => tell('subscribed', { from: p.from }));
client.on('roster:update', (iq) => {
  for (const item of iq.roster.items) tell('roster', { jid: item.jid, subscription: item.subscription });
});

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const command = JSON.parse(line);
  switch (command.do) {
    case 'message':
      client.sendMessage({ to: command.to, type: 'chat', body: command.body });
      break;
    case 'enter':
      // What comes of it is an event.
      client.joinRoom(command.to, command.nick).catch((p) => tell('room-error', { room: command.to, condition: p.error && p.error.condition }));
      break;
    case 'say':
      client.sendMessage({ to: command.to, type: 'groupchat', body: command.body, ...(command.id ? { id: command.id } : {}) });
      break;
    case 'topic':
      client.setSubject(command.to, command.subject);
      break;
    case 'presence':
      client.sendPresence({ show: command.show });
      break;
    case 'subscribe':
      client.subscribe(command.to);
      break;
    case 'accept':
      client.acceptSubscription(command.to);
      break;
    case 'block':
      tell('blocked', { jids: await client.block(command.to).then(() => client.getBlocked()).then((list) => (list.jids || []).map(String)) });
      break;
    case 'unblock':
      tell('unblocked', { jids: await client.unblock(command.to).then(() => client.getBlocked()).then((list) => (list.jids || []).map(String)) });
      break;
    case 'disconnect':
      client.disconnect();
      break;
    case 'cut':
      client.transport.socket.terminate();
      break;
    case 'connect':
      client.connect();
      break;
  }
}).on('close', () => process.exit(0));

client.connect();
