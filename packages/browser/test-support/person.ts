import { request } from 'node:http'

/**
 * Runs work as the person at the keyboard does it: with whole pages, which no same-origin policy holds back.
 * The page's own `fetch` is as strict as a browser's.
 */
export async function asPerson<T>(work: () => Promise<T>): Promise<T> {
  const page = globalThis.fetch
  globalThis.fetch = openPage as typeof fetch
  try {
    return await work()
  } finally {
    globalThis.fetch = page
  }
}

function openPage(
  url: string,
  {
    method = 'GET',
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string },
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('error', reject)
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () =>
        resolve({
          status: answer.statusCode,
          headers: {
            get: (name: string) => answer.headers[name]?.toString() ?? null,
            getSetCookie: () => answer.headers['set-cookie'] ?? [],
          },
          text: async () => Buffer.concat(chunks).toString(),
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
