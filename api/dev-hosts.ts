/** Whether a request is for a name of ours: a page elsewhere could have its own name point here, and read what its visitor can reach. */
export function ownHosts(publicUrl: string): (url: string) => boolean {
  const hosts = new Set([new URL(publicUrl).hostname, 'localhost', '127.0.0.1', '[::1]']);
  return (url) => hosts.has(new URL(url).hostname);
}
