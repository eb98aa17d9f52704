"""Signs the same document over and over with pyHanko: the contender's side of
the package's protocol."""

import json
import logging
import resource
import sys
import time

from asn1crypto import pem, x509
from asn1crypto.keys import PrivateKeyInfo
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko_certvalidator.registry import SimpleCertificateStore

logging.disable(logging.CRITICAL)


def answer(**values):
    with open('/proc/self/status') as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith('VmHWM:'))
    print(json.dumps({**values, 'peak_rss': peak << 10}), flush=True)


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


task = json.loads(sys.stdin.readline())
answer()
with open(task['certificates'], 'rb') as f:
    certs = [x509.Certificate.load(der) for _, _, der in pem.unarmor(f.read(), multiple=True)]
store = SimpleCertificateStore()
store.register_multiple(certs[1:])
token = task.get('token')
if token:
    from pyhanko.config.pkcs11 import TokenCriteria
    from pyhanko.sign.pkcs11 import PKCS11Signer, open_pkcs11_session

    with open(token['pin_file']) as f:
        session = open_pkcs11_session(token['module'], token_criteria=TokenCriteria(label=token['label']), user_pin=f.read().strip())
    signer = PKCS11Signer(session, signing_cert=certs[0], ca_chain=certs[1:], key_label=token['key'], use_raw_mechanism=True)
else:
    with open(task['key'], 'rb') as f:
        key = PrivateKeyInfo.load(pem.unarmor(f.read())[2])
    signer = signers.SimpleSigner(signing_cert=certs[0], signing_key=key, cert_registry=store)
calls = 0
name = 'async_sign_raw' if token else 'sign_raw'
sign_raw = getattr(signer, name)


def counted(*args, **kwargs):
    global calls
    calls += 1
    return sign_raw(*args, **kwargs)


setattr(signer, name, counted)
metadata = signers.PdfSignatureMetadata(field_name='Signature1', md_algorithm='sha256', subfilter=fields.SigSeedSubFilter.PADES)


def sign():
    with open(task['document'], 'rb') as f, open(task['output'], 'wb+') as out:
        result = signers.PdfSigner(metadata, signer=signer).sign_pdf(IncrementalPdfFileWriter(f))
        out.write(result.getbuffer())


for line in sys.stdin:
    length = json.loads(line)['seconds']
    try:
        n, before, used, begin = 0, calls, cpu(), time.monotonic()
        while n == 0 or time.monotonic() - begin < length:
            sign()
            n += 1
        answer(documents=n, seconds=time.monotonic() - begin, cpu_seconds=cpu() - used, operations=calls - before)
    except Exception as e:
        answer(err=f'{type(e).__name__}: {e}')
