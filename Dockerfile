# Serves an exported file, without torch:
#     docker build -t eyespot .
#     docker run --rm -p 8000:8000 -e EYESPOT_TOKEN=... -v "$PWD/photos.onnx:/model.onnx:ro" eyespot
# Or put the file into an image of your own: FROM eyespot, then COPY photos.onnx /model.onnx
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
COPY constraints.txt /install/
COPY requirements /install/requirements
COPY --from=build /wheels /install/wheels
RUN pip install --no-cache-dir -c /install/constraints.txt -r /install/requirements/serve.txt \
    && pip install --no-cache-dir --no-deps /install/wheels/*.whl \
    && rm -r /install \
    && useradd --uid 1000 --create-home eyespot
USER eyespot
WORKDIR /home/eyespot
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["eyespot"]
CMD ["serve", "/model.onnx", "--host", "0.0.0.0", "--port", "8000", "--token-env", "EYESPOT_TOKEN"]
