import type { Provider, Study } from '@s4s/node'

/** The page: links to connect, one button, and a line that says how far it is. */
export function pageOf(study: Study, providers: readonly Provider[]): string {
  const links = providers.map(
    ({ id, name }) => `<li><a href="/smart/connect/${encodeURIComponent(id)}">Connect ${text(name)}</a></li>`,
  )
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${text(study.title)}</title></head>
<body>
<h1>${text(study.title)}</h1>
<ul>${links.join('')}</ul>
<form>
<p>${text(study.consent.text)}</p>
<label>Your name <input name="signature" required></label>
<button>Share with the study</button>
</form>
<p role="status"></p>
<script type="module">${script}</script>
</body>
</html>
`
}

// Whatever it may read is in these answers, and none holds a token.
const script = `
const say = (words) => { document.querySelector('[role=status]').textContent = words }
const send = async (path, body) => {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
  const value = await answer.json()
  if (!answer.ok) throw new Error(value.error)
  return value
}
const followed = () => new Promise((resolve) => {
  const events = new EventSource('/smart/events')
  events.addEventListener('progress', ({ data }) => {
    const { done, total } = JSON.parse(data)
    say(done + ' of ' + total)
  })
  events.addEventListener('done', () => { events.close(); resolve() })
})
document.querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault()
  const signature = new FormData(event.target).get('signature')
  try {
    await send('/smart/collect', {})
    await followed()
    const { receipt } = await send('/smart/share', { signature })
    say('Shared ' + receipt.resources + ' resources. Receipt ' + receipt.id)
  } catch (error) {
    say('That did not work (' + error.message + ').')
  }
})
`

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
