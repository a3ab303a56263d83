
const { routeHandler: route } = guest;

const CLASSES = ['retry', 'reconnect', 'reject', 'fatal'];
const OF_NETWORK = { denied: 'fatal', 'limit-reached': 'fatal' };
// Of messages that the broker did not take: the far side has them still.
const OF_BROKER = { 'not-stored': 'retry' };
const NETWORK = ['denied', 'refused', 'unreachable', 'timed-out', 'closed', 'would-block', 'tls', 'limit-reached', 'other'];

const isFailure = (it) => CLASSES.includes(it?.tag) && typeof it.val === 'string';

// What an exception means where the guest does not say it: an error of the network, or of what is published, has its class, all else the usual one of the call.
const calls = (name, usual) =>
  told(route, name, isFailure, ({ text }, payload) => {
    const ofNetwork = NETWORK.includes(payload?.tag) && (OF_NETWORK[payload.tag] ?? 'reconnect');
    return { tag: OF_BROKER[payload] ?? (ofNetwork || usual), val: text };
  });

export const routeHandler = {
  describe: () => route.describe(),
  open: calls('open', 'reconnect'),
  deliver: calls('deliver', 'reject'),
  run: calls('run', 'reconnect'),
  request: calls('request', 'reject'),
  close() {
    try {
      route.close();
    } catch (thrown) {
      uncaught(thrown);
    }
  },
};
