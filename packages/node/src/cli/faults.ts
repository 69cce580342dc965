/** Why a server cannot be connected at all, and what to do. */
export interface Fault {
  readonly check: 'address' | 'tls' | 'answer' | 'redirect' | 'configuration'
  /** One sentence, without its full stop. */
  readonly sentence: string
  readonly remedy: string
}

type Row = readonly [codes: RegExp, check: Fault['check'], sentence: (host: string) => string, remedy: string]

const rows: readonly Row[] = [
  [
    /^(ENOTFOUND|EAI_|ENODATA)/,
    'address',
    (host) => `there is no host called ${host}`,
    'Check the spelling; some hosts are known inside a hospital’s network only.',
  ],
  [
    /^S4S_PRIVATE_ADDRESS$/,
    'address',
    (host) => `${host} leads to an address that no server of a provider has`,
    'Ask the provider for the address that it publishes.',
  ],
  [
    /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
    'tls',
    (host) => `the certificate of ${host} is out of date`,
    'The provider has to renew it; compare the clock of this machine, too.',
  ],
  [
    /SELF_SIGNED_CERT/,
    'tls',
    (host) => `the certificate of ${host} is signed by nobody that this machine trusts`,
    'The provider needs one of a public authority; one of your own is trusted by NODE_EXTRA_CA_CERTS.',
  ],
  [
    /^(UNABLE_TO_|CERT_UNTRUSTED|CERT_SIGNATURE_FAILURE)/,
    'tls',
    (host) => `the certificate of ${host} comes without those that lead to a known authority`,
    'The provider has to send the whole chain; browsers may mend that by themselves, servers do not.',
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'tls',
    (host) => `the certificate of ${host} is made out to another name`,
    'Use the name that it is made out to, or ask the provider.',
  ],
  [
    /^(ERR_SSL_|ERR_TLS_|EPROTO|CERT_)/,
    'tls',
    (host) => `no secure connection to ${host} comes about`,
    'It must speak TLS 1.2 or newer with a valid certificate.',
  ],
  [
    /^ECONNREFUSED$/,
    'answer',
    (host) => `nothing listens at ${host}`,
    'Check the port; the server may be down.',
  ],
  [
    /^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/,
    'answer',
    (host) => `${host} closes the connection without an answer`,
    'Try again later; a firewall may be in between.',
  ],
]

const silent: Row = [
  /^/,
  'answer',
  (host) => `${host} does not answer`,
  'Try again later; a firewall may be in between.',
]

/** The fault behind a system's error code; one that has no row is a server that does not answer. */
export function faultOf(host: string, code = ''): Fault {
  const [, check, sentence, remedy] = rows.find(([codes]) => codes.test(code)) ?? silent
  return Object.freeze({ check, sentence: sentence(host), remedy })
}
