"""The model's definition in torch; only `training/` (and tests) import it.

x  (B,3,H,W) in [0,1], edge-padded
 |  analysis        unshuffle 8 -> blocks at 1/8 -> unshuffle 2 -> blocks at 1/16
y  (B,M,H/16,W/16) --------------------------------+
 |  * gain(q) = v, hyper-analysis                  |
z  (B,N,H/64,W/64)                                 |
 |  round, code with per-channel integer tables    |
z_hat ---> integer scale network ---> table index of every y symbol (uint8)
   |                                               |
   +-----> mean features (float) --> for each step k of the context:
                                       mu_k    = f(mean features, y_hat of earlier steps)
                                       s_k     = round(v_k - mu_k)       all s coded in ONE ANS pass
                                       v_hat_k = s_k + mu_k
 y_hat = v_hat / gain(q) ---> synthesis ---> x_hat
"""

from aecodec.model.autoencoder import Autoencoder, Output

__all__ = ["Autoencoder", "Output"]
