import { startPortal } from './serve.js'

const portal = await startPortal({ port: Number(process.env.PORT ?? 0) })
const [mercy, lakeside] = portal.sandboxes

console.log(`
  The study portal   ${portal.url}/

  Mercy Hospital     ${mercy.url}/manage
  Lakeside Clinic    ${lakeside.url}/manage
  The study's inbox  ${portal.inboxUrl}
  What the team sees curl -H 'Authorization: Bearer ${portal.study.teamKey}' ${portal.inboxUrl}/studies/${portal.study.id}/packages

  Nobody in these hospitals exists; any name and password will do. Ctrl-C ends it all.
`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void portal.stop().then(() => process.exit(0))
  })
}
