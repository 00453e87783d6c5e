/** Whether a host is this machine itself: where plaintext is no risk. Apart from the server, so that clients need not load one. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.[0-9.]+$/.test(host)
}
