// Signs with AWS's own signer for Node what the Go tests ask for: a JSON list of {how: 'url' | 'cookies', options} on standard
// input, the list of what getSignedUrl and getSignedCookies answered on standard output.
import { getSignedCookies, getSignedUrl } from '@aws-sdk/cloudfront-signer';

let input = '';
for await (const chunk of process.stdin) input += chunk;
const answers = JSON.parse(input).map(({ how, options }) => (how === 'url' ? getSignedUrl(options) : getSignedCookies(options)));
process.stdout.write(JSON.stringify(answers));
